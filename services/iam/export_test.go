package iam

import "circle15.dev/internal/tenantdb"

// EventLists are the statements that list audit events, by what they filter by besides the period.
var EventLists = map[string]*tenantdb.Stmt{
	"nothing": listEvents, "subject": listEventsOfSubject, "resource": listEventsOfResource, "both": listEventsOfBoth,
}
