"""Every tokenizer file -> one tokenizer.json."""
