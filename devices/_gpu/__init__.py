"""Graphics cards: found through their drivers, read and held by NVML or sysfs."""
