"""What invented documents of each kind say, and what may be asked of them."""
