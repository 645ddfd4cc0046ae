"""The expression language that rules and maps share: grammar, nodes, types, functions, compile."""
