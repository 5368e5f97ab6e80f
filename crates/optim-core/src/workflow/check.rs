//! Well-formedness: findings about a definition that can be read but not run or optimized.
