// Package enums maps stored names to the enum values of the contract.
package enums

// Inverse turns a table of stored names to enum values around.
func Inverse[S ~string, E comparable](table map[S]E) map[E]S {
	out := make(map[E]S, len(table))
	for name, value := range table {
		out[value] = name
	}
	return out
}
