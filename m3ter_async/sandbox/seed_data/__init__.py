"""What a sandbox holds before anybody writes to it, all of it decided by a seed."""
