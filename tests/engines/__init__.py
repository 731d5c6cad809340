"""The package beside what others wrote: engines, databases, object stores. `nox -s engines` installs and starts them."""
