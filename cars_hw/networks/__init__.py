"""What a network is, without weights: layers, operations, graphs, architectures. No torch."""
