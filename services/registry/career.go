package registry

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"circle15.dev/internal/apierr"
	"circle15.dev/internal/authz"
	"circle15.dev/internal/civildate"
	"circle15.dev/internal/facts"
	"circle15.dev/internal/ids"
	"circle15.dev/internal/tenantdb"
)

// membership is a volunteer's time in a team: from a first day until the day before the next membership's, or until
// withdrawal.
type membership struct {
	Team, Station uuid.UUID
	First         time.Time
}

// career is the memberships of a volunteer in their order, at least one. The first begins with registration, the last is
// the present one.
type career []membership

func (c career) present() membership { return c[len(c)-1] }

// beginOn is the career of a volunteer who was registered on another day.
func (c career) beginOn(registered time.Time) (career, error) {
	if len(c) > 1 && !registered.Before(c[1].First) {
		return nil, apierr.InvalidField("volunteer.registeredDate", "must be before %s, the first day in the next team",
			civildate.Format(c[1].First))
	}
	c = slices.Clone(c)
	c[0].First = registered
	return c, nil
}

// join is the career of a volunteer who goes over to the team of the membership on its first day. On the first day in the
// present team it takes the place of that: the present team was entered by mistake.
func (c career) join(next membership) (career, error) {
	switch at := c.present().First; {
	case next.First.Before(at):
		return nil, apierr.InvalidField("volunteer.teamSince", "must not be before %s, the first day in the present team", civildate.Format(at))
	case next.First.Equal(at):
		return append(slices.Clone(c[:len(c)-1]), next), nil
	default:
		return append(slices.Clone(c), next), nil
	}
}

// since is joinedOn of the day of a request, which may be left out.
func (c career) since(day string) (career, error) {
	if day == "" {
		return c, nil
	}
	first, err := civildate.ParsePast("volunteer.teamSince", day)
	if err != nil {
		return nil, err
	}
	return c.joinedOn(first)
}

// joinedOn is the career of a volunteer whose first day in the present team is another.
func (c career) joinedOn(day time.Time) (career, error) {
	if len(c) == 1 {
		if !day.Equal(c[0].First) {
			return nil, apierr.InvalidField("volunteer.teamSince", "must be the day of registration, %s, in the first team",
				civildate.Format(c[0].First))
		}
		return c, nil
	}
	if before := c[len(c)-2].First; !day.After(before) {
		return nil, apierr.InvalidField("volunteer.teamSince", "must be after %s, the first day in the team before", civildate.Format(before))
	}
	c = slices.Clone(c)
	c[len(c)-1].First = day
	return c, nil
}

func (c career) equal(d career) bool {
	return slices.EqualFunc(c, d, func(a, b membership) bool { return a.Team == b.Team && a.First.Equal(b.First) })
}

// last is the last day of the membership i, nil for none.
func (c career) last(i int, withdrawn *time.Time) *time.Time {
	if i == len(c)-1 {
		return withdrawn
	}
	return new(c[i+1].First.AddDate(0, 0, -1))
}

// facts count the volunteer (人) at each station while in a team of it, from registration to withdrawal. The figure belongs
// to no domain.
func (c career) facts(volunteer uuid.UUID, withdrawn *time.Time) []facts.Fact {
	var all []facts.Fact
	for i := 0; i < len(c); {
		first := c[i]
		for i++; i < len(c) && c[i].Station == first.Station; i++ {
		}
		all = append(all, stock(facts.Fact{
			Measure: facts.Volunteer, Station: first.Station, SourceType: facts.SourceVolunteers, SourceID: volunteer,
		}, period{first.First, c.last(i-1, withdrawn)})...)
	}
	return all
}

// sameStock says whether the stocks of one source count the same.
func sameStock(a, b []facts.Fact) bool {
	return slices.EqualFunc(a, b, func(x, y facts.Fact) bool {
		return x.Date.Equal(y.Date) && x.Station == y.Station && x.Amount == y.Amount
	})
}

// withinTeams refuses a membership outside the time of its team, and keeps the teams as they are until the end of the
// transaction.
func (c career) withinTeams(ctx context.Context, tx *tenantdb.Tx, withdrawn *time.Time) error {
	for i, m := range c {
		team, err := tenantdb.One(ctx, tx, scanTeam, shareTeam, m.Team, nil)
		if err != nil {
			return err
		}
		firstField, lastField := "volunteer.teamSince", "volunteer.teamSince"
		if i == 0 {
			firstField = "volunteer.registeredDate"
		}
		if i == len(c)-1 {
			lastField = "volunteer.withdrawnDate"
		}
		p := period{m.First, c.last(i, withdrawn)}
		if err := p.beginsWithin(team.FoundedDate, firstField, "team"); err != nil {
			return err
		}
		if err := p.endsWithin(team.DissolvedDate, lastField, "team"); err != nil {
			return err
		}
	}
	return nil
}

// teamToJoin resolves the team of a new membership, and keeps it from being dissolved until the end of the transaction.
func teamToJoin(ctx context.Context, tx *tenantdb.Tx, id string) (*teamRow, error) {
	key, err := ids.Parse("volunteer.teamId", id)
	if err != nil {
		return nil, err
	}
	team, err := tenantdb.One(ctx, tx, scanTeam, shareTeam, key, authz.ScopeFrom(ctx).StationIDs())
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, apierr.InvalidField("volunteer.teamId", "must name a volunteer team within your data scope")
	}
	if err != nil {
		return nil, err
	}
	if team.State == volunteeringVoid {
		return nil, apierr.InvalidField("volunteer.teamId", "must name a team that is not void")
	}
	return team, nil
}
