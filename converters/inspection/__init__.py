"""What kind of model this is, and where its zeros lie."""
