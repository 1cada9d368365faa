"""What is asked and answered over HTTP: types, checks, routes and their description."""
