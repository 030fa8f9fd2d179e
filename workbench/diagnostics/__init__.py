"""What a network shows while it learns: small pure functions of what forward and backward already hold."""
