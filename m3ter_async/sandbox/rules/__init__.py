"""What the service demands of an entity and adds to it, beyond the contract's types."""
