package page

import (
	"context"

	"github.com/google/uuid"
)

// StartAtID is Start for a list that is ordered by id: with the id after which the page begins, uuid.Nil, which sorts
// before every id, at the start.
func (c *Codec) StartAtID(ctx context.Context, req Request) (Page, uuid.UUID, error) {
	p, err := c.Start(ctx, req)
	if err != nil || p.After == "" {
		return p, uuid.Nil, err
	}
	after, err := uuid.Parse(p.After)
	if err != nil {
		return p, uuid.Nil, errBadToken()
	}
	return p, after, nil
}

// Answer makes of the rows that were selected with LIMIT p.Fetch() the messages of the page, and the token of the next
// one; it is empty where none follows. cursor is what the page after a row begins with.
func Answer[R, M any](
	ctx context.Context, c *Codec, req Request, p Page, rows []R, cursor func(R) string, message func(R) M,
) (messages []M, next string) {
	if len(rows) > int(p.Limit) {
		rows = rows[:p.Limit]
		next = c.Next(ctx, req, cursor(rows[len(rows)-1]))
	}
	messages = make([]M, len(rows))
	for i, row := range rows {
		messages[i] = message(row)
	}
	return messages, next
}
