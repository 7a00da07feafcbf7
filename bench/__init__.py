"""The measurements: what the product's path costs, beside other systems doing the same work in the same run."""
