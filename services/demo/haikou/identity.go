package haikou

import (
	"fmt"
	"time"
)

// identityNumbers makes resident identity numbers (GB 11643-1999) that are valid and belong to nobody in particular: the
// sequence is drawn at random, and no number is given twice.
type identityNumbers struct {
	dice  *dice
	given map[string]bool
}

// next makes a number of the district (six digits), odd in its sequence for men.
func (n *identityNumbers) next(district string, born time.Time, female bool) string {
	for {
		sequence := 2 * n.dice.IntN(500)
		if !female {
			sequence++
		}
		body := fmt.Sprintf("%s%s%03d", district, born.Format("20060102"), sequence)
		number := body + checkCharacter(body)
		if sequence > 0 && !n.given[number] {
			n.given[number] = true
			return number
		}
	}
}

// checkCharacter is the eighteenth character: ISO 7064 MOD 11-2 over the first seventeen.
func checkCharacter(body string) string {
	weights := [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	sum := 0
	for i, w := range weights {
		sum += w * int(body[i]-'0')
	}
	const characters = "10X98765432"
	return characters[sum%11 : sum%11+1]
}
