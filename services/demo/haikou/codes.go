package haikou

// Codes of the standards pack that the plan uses.
const (
	socialAssistance    = "social_assistance"
	elderlyServices     = "elderly_services"
	childWelfare        = "child_welfare"
	communityGovernance = "community_governance"
	socialAffairs       = "social_affairs"

	minimumLivingAllowance = "minimum_living_allowance"
	extremeHardship        = "extreme_hardship"
	relapseMonitored       = "relapse_monitored"
	marginalIncome         = "marginal"
	rigidSpending          = "rigid_spending"
	otherHardship          = "other"

	disabled          = "disabled"
	childInDifficulty = "child_in_difficulty"
	leftBehindChild   = "left_behind_child"
	veryOld           = "very_old"
	livingAlone       = "living_alone"
	emptyNest         = "empty_nest"

	fromPublicity = "community_publicity"
	fromHomeVisit = "home_visit"
	fromCasework  = "casework"
	fromPhoneCall = "phone_call"
)

var disabilityTypes = []weighted[string]{
	{"physical", 42}, {"visual", 16}, {"mental", 14}, {"intellectual", 12}, {"hearing", 10}, {"multiple", 4}, {"speech", 2},
}
