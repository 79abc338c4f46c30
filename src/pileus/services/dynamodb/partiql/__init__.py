"""PartiQL for DynamoDB: SELECT, INSERT, UPDATE, DELETE and EXISTS.

    lexer, parser   text to statement; literals stand aside, conditions are the expressions' trees
    binding         a statement with its parameters: values, predicates, keys, writes

Source: "PartiQL - a SQL-compatible query language for Amazon DynamoDB" in the Developer Guide.
"""
