"""The edge to the network: who may come in, how much they may send, and how long they may take."""
