"""Networks with weights, in torch: modules, the SuperNet, and how it is trained."""
