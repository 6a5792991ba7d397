package authz

import (
	"cmp"
	"crypto/sha256"
	"maps"
	"slices"
	"strings"
)

// grid numbers the cells of a table: one row for each resource that rules name and one for all others, one column for
// each action and one for all others.
type grid struct {
	resources, actions map[string]int // from 1; 0 is every other
}

func newGrid(resources, actions []string) grid {
	return grid{number(resources), number(actions)}
}

func number(names []string) map[string]int {
	numbers := map[string]int{}
	for _, name := range names {
		if _, ok := numbers[name]; !ok && name != Any {
			numbers[name] = len(numbers) + 1
		}
	}
	return numbers
}

func (g grid) cells() int { return (len(g.resources) + 1) * (len(g.actions) + 1) }

// cell is the number of the cell that answers for the resource and action.
func (g grid) cell(resource, action string) int {
	return g.resources[resource]*(len(g.actions)+1) + g.actions[action]
}

// other stands for the resources and actions that no rule names.
const other = "\x00other"

// each calls f for every cell with a resource and an action that fall into it.
func (g grid) each(f func(cell int, resource, action string) error) error {
	for _, resource := range append(keys(g.resources), other) {
		for _, action := range append(keys(g.actions), other) {
			if err := f(g.cell(resource, action), resource, action); err != nil {
				return err
			}
		}
	}
	return nil
}

func keys(m map[string]int) []string {
	return slices.Sorted(maps.Keys(m))
}

// table is what casbin answers to a holder of one role: the level for each cell, empty where it denies. It does not
// depend on the name of the role or the tenant, so that it serves every role with the same rules.
type table struct {
	grid
	id     digest
	levels []Level
}

type digest [sha256.Size]byte

// table returns the answers to a holder of the role, from memory where its rules are known.
func (c *compilation) table(role string) (*table, error) {
	if t := c.tables[role]; t != nil {
		return t, nil
	}
	rules := slices.Clone(c.rules[role])
	slices.SortFunc(rules, func(a, b Rule) int {
		return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Action, b.Action), cmp.Compare(a.Level, b.Level))
	})
	id := digestOf(rules)
	t, ok := c.compiler.tables.Get(id)
	if !ok {
		var err error
		if t, err = c.askAll(role, rules); err != nil {
			return nil, err
		}
		t.id = id
		c.compiler.tables.Add(id, t)
	}
	c.tables[role] = t
	return t, nil
}

func digestOf(rules []Rule) digest {
	h := sha256.New()
	for _, r := range rules {
		for _, part := range []string{r.Resource, r.Action, string(r.Level)} {
			_, _ = h.Write([]byte(part)) // hash.Hash never fails
			_, _ = h.Write([]byte{0})    // PostgreSQL's text has no NUL
		}
	}
	return digest(h.Sum(nil))
}

// askAll asks casbin about every cell.
func (c *compilation) askAll(role string, rules []Rule) (*table, error) {
	const holder = "holder"
	e, err := newEnforcer(c.policy.Tenant, rules, [][2]string{{holder, role}})
	if err != nil {
		return nil, err
	}
	var resources, actions []string
	for _, r := range rules {
		resources, actions = append(resources, r.Resource), append(actions, r.Action)
	}
	t := &table{grid: newGrid(resources, actions)}
	t.levels = make([]Level, t.cells())
	return t, t.each(func(cell int, resource, action string) error {
		level, _, err := ask(e, c.policy.Tenant, holder, resource, action)
		t.levels[cell] = level
		return err
	})
}

// shape is what the holders of one set of roles may do, apart from where: for each cell the number of an outcome, from
// 1, or 0 for denial. Every set of the same tables shares it.
type shape struct {
	grid
	numbers  []uint16
	outcomes []outcome
}

// outcome is a level and, where it is about stations, the roles (by their place in the set) whose grants name them.
type outcome struct {
	level Level
	roles []int
}

func (c *Compiler) shape(tables []*table) *shape {
	var key strings.Builder
	for _, t := range tables {
		_, _ = key.Write(t.id[:]) // strings.Builder never fails
	}
	if s, ok := c.shapes.Get(key.String()); ok {
		return s
	}
	s := newShape(tables)
	c.shapes.Add(key.String(), s)
	return s
}

func newShape(tables []*table) *shape {
	s := &shape{grid: join(tables)}
	s.numbers = make([]uint16, s.cells())
	_ = s.each(func(cell int, resource, action string) error { // the callback returns no error
		s.numbers[cell] = s.number(widest(tables, resource, action))
		return nil
	})
	return s
}

// join is a grid with the cells of all the tables.
func join(tables []*table) grid {
	var resources, actions []string
	for _, t := range tables {
		resources = slices.AppendSeq(resources, maps.Keys(t.resources))
		actions = slices.AppendSeq(actions, maps.Keys(t.actions))
	}
	return newGrid(resources, actions)
}

// widest is the widest level among the tables and which of them give it.
func widest(tables []*table, resource, action string) outcome {
	var best outcome
	for i, t := range tables {
		level := t.levels[t.cell(resource, action)]
		switch {
		case level.rank() == 0 || level.rank() < best.level.rank():
		case level.rank() > best.level.rank():
			best = outcome{level, []int{i}}
		default:
			best.roles = append(best.roles, i)
		}
	}
	if !best.level.byStation() {
		best.roles = nil
	}
	return best
}

// number is the number of the outcome, a new one where it is new.
func (s *shape) number(o outcome) uint16 {
	if !o.level.Valid() {
		return 0
	}
	for i, known := range s.outcomes {
		if known.level == o.level && slices.Equal(known.roles, o.roles) {
			return uint16(i + 1)
		}
	}
	s.outcomes = append(s.outcomes, o)
	return uint16(len(s.outcomes))
}
