"""The expression language: conditions, filters, key conditions, updates, projections.

    lexer, parser      text to syntax tree; names and values still as written
    paths              document paths: reading them, overlaps
    conditions         trees to predicates      updates        trees to changes
    projections        trees to pickers         keyconditions  trees to key ranges
    parameters         the request's expressions, ExpressionAttributeNames and -Values, checked together

A text is parsed once and compiled once for each set of names; both are kept in bounded caches.
"""
