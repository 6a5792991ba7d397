package haikou

// figures is what the stations did from 2021-05-01 to 2021-10-01, both included (海南日报, 2021-10-02). The generator writes
// requests that add up to it; nothing of it is sent.
var figures = struct {
	stations       int // 社工站
	households     int // 入户探访, 户: distinct households visited at home
	cases          int // 个案服务, 个
	activities     int // 社区活动, 场
	volunteerTeams int // 志愿服务团队, 个
	volunteers     int // 注册志愿者, 人
	personTimes    int // 累计服务, 人次
}{21, 2_518, 42, 183, 21, 851, 28_332}

// What the article tells of two stations; Guoxing built "over 350" files, and its workers visited more households than
// others did.
var (
	toldNeeds      = map[string]int{Binjiang: 180}
	toldFiles      = map[string]int{Binjiang: 56, Guoxing: 356}
	toldHouseholds = map[string]int{Binjiang: 148, Guoxing: 266}
	toldCases      = map[string]int{Binjiang: 3, Guoxing: 4}
)

// Of these the article has no total; they are chosen to be plausible beside the others.
const (
	needsInAll  = 1_580
	filesInAll  = 1_780
	groupsInAll = 38
)
