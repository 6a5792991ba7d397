package haikou

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
)

// source draws everything of one plan from one seed. Each subject has a stream of its own, named by its label, so that a
// change in one part of the generator leaves the others as they were.
type source struct {
	seed uint64
	made map[string]int // ids made so far, by kind
}

func newSource(seed uint64) *source {
	return &source{seed: seed, made: map[string]int{}}
}

// stream is the random stream of a subject.
func (s *source) stream(label string) *dice {
	sum := s.digest("stream", label)
	pcg := rand.NewPCG(binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16]))
	return &dice{rand.New(pcg)} //nolint:gosec // repeatable on purpose
}

// id makes the next id of a kind: a UUID of version 7 (RFC 9562) whose timestamp lies in the working hours of the day and
// whose random bits come from the seed. The same plan has the same ids on every machine, so an import that was cut short
// can be sent again.
func (s *source) id(kind string, day time.Time) string {
	n := s.made[kind]
	s.made[kind]++
	sum := s.digest("id", fmt.Sprintf("%s/%d", kind, n))
	const workingDay = 9 * 60 * 60 * 1000 // ms, from half past eight to half past five
	atWork := day.Add(30*time.Minute).UnixMilli() + int64(binary.BigEndian.Uint32(sum[16:20])%workingDay)

	var id uuid.UUID
	copy(id[:], sum[:16])
	var stamp [8]byte
	binary.BigEndian.PutUint64(stamp[:], uint64(atWork)<<16)
	copy(id[:6], stamp[:6])
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}

func (s *source) digest(use, label string) [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%d/%s/%s", s.seed, use, label))
}

// dice is a random stream with the draws that the generator needs.
type dice struct{ *rand.Rand }

// chance is true with the probability p.
func (d *dice) chance(p float64) bool { return d.Float64() < p }

// between is a number from low to high, both included.
func (d *dice) between(low, high int) int { return low + d.IntN(high-low+1) }

// spread is a factor around 1, log-normal: sigma 0.3 makes a third smaller and half as much again common.
func (d *dice) spread(sigma float64) float64 { return math.Exp(d.NormFloat64()*sigma - sigma*sigma/2) }

// pick is one of the options.
func pick[T any](d *dice, options []T) T { return options[d.IntN(len(options))] }

// weighted is an option with its relative weight.
type weighted[T any] struct {
	value  T
	weight float64
}

// pickWeighted is one of the options, by weight.
func pickWeighted[T any](d *dice, options []weighted[T]) T {
	var sum float64
	for _, o := range options {
		sum += o.weight
	}
	at := d.Float64() * sum
	for _, o := range options {
		if at < o.weight {
			return o.value
		}
		at -= o.weight
	}
	return options[len(options)-1].value
}

// sample is n of the options in random order, or all when there are fewer.
func sample[T any](d *dice, options []T, n int) []T {
	shuffled := append([]T(nil), options...)
	d.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	return shuffled[:min(n, len(shuffled))]
}
