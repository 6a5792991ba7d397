package rpcserver

import (
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"circle15.dev/internal/tenant"
)

// maxLimiters bounds the memory of the rate limiters; a tenant that falls out starts with a full burst again.
const maxLimiters = 8192

// limiters hold a rate limiter for each tenant that was seen lately.
type limiters struct {
	quota  Quota
	byName *lru.Cache[tenant.Name, *rate.Limiter]
}

func newLimiters(quota Quota) *limiters {
	byName, err := lru.New[tenant.Name, *rate.Limiter](maxLimiters)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &limiters{quota, byName}
}

// allow takes one request from the tenant's quota. Up to two seconds' worth may come in one burst. A changed quota
// takes effect at the next request.
func (l *limiters) allow(name tenant.Name) bool {
	perSecond := l.quota(name)
	if perSecond <= 0 {
		return true
	}
	limiter, ok := l.byName.Get(name)
	if !ok {
		limiter = rate.NewLimiter(rate.Limit(perSecond), 2*perSecond)
		if earlier, raced, _ := l.byName.PeekOrAdd(name, limiter); raced {
			limiter = earlier
		}
	}
	if limiter.Limit() != rate.Limit(perSecond) {
		limiter.SetLimit(rate.Limit(perSecond))
		limiter.SetBurst(2 * perSecond)
	}
	return limiter.Allow()
}
