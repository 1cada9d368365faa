"""Models of other inference servers that take text and give answers; `edge-qa export` writes what loads them."""
