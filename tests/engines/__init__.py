"""The package beside what others wrote: engines, databases, object stores. `nox -s engines` starts them."""
