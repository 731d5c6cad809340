"""Work that takes more than one call: waiting for jobs, files behind presigned URLs, fan-out."""
