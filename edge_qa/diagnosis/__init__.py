"""`edge-qa doctor`: is this machine fit, and would a bundle run right on it?"""
