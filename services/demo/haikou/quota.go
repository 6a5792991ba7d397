package haikou

import (
	"cmp"
	"math"
	"slices"
)

// apportion divides total among the weights by largest remainders, each share at least floor. It panics when the total
// cannot pay for the floor: the generator's own numbers would be wrong.
func apportion(total, floor int, weights []float64) []int {
	var sum float64
	for _, w := range weights {
		sum += w
	}
	free := total - floor*len(weights)
	if free < 0 {
		panic("the total does not pay for the floor")
	}
	shares := make([]int, len(weights))
	remainders := make([]int, len(weights))
	left := free
	for i, w := range weights {
		shares[i] = floor + int(math.Floor(float64(free)*w/sum))
		left -= shares[i] - floor
		remainders[i] = i
	}
	slices.SortStableFunc(remainders, func(a, b int) int {
		return cmp.Compare(fraction(float64(free)*weights[b]/sum), fraction(float64(free)*weights[a]/sum))
	})
	for _, i := range remainders[:left] {
		shares[i]++
	}
	return shares
}

func fraction(x float64) float64 { return x - math.Floor(x) }
