package haikou

import "time"

// Surnames with rough shares in Hainan, where 符, 邢, 云, 卓 and 羊 are far more common than elsewhere.
var surnames = []weighted[string]{
	{"陈", 110},
	{"王", 95},
	{"林", 82},
	{"吴", 76},
	{"李", 62},
	{"符", 58},
	{"黄", 50},
	{"张", 36},
	{"周", 27},
	{"郑", 24},
	{"冯", 23},
	{"邢", 20},
	{"云", 19},
	{"蔡", 19},
	{"许", 18},
	{"何", 18},
	{"韩", 16},
	{"曾", 16},
	{"邓", 14},
	{"卓", 13},
	{"梁", 13},
	{"谢", 12},
	{"杨", 12},
	{"欧", 11},
	{"苏", 11},
	{"翁", 10},
	{"刘", 10},
	{"麦", 9},
	{"潘", 9},
	{"詹", 8},
	{"莫", 8},
	{"文", 8},
	{"唐", 7},
	{"钟", 7},
	{"伍", 6},
	{"洪", 6},
	{"柯", 5},
	{"羊", 5},
	{"庄", 5},
	{"史", 4},
	{"龙", 4},
	{"甘", 3},
	{"韦", 3},
	{"颜", 3},
	{"占", 2},
	{"欧阳", 2},
}

// generation is the given names that parents chose at a time.
type generation struct {
	bornBefore   int
	women, men   []rune
	singleInFive int // names of one character, in fifths
}

var generations = []generation{
	{1960, []rune("玉兰英桂花月梅珍凤琼爱秀香金菊莲娥妹"), []rune("国德明安福成财祥仁光廷先世昌业日运贵"), 1},
	{1985, []rune("丽红燕芳海琼霞娟秋玲春艳萍敏雪青小妹"), []rune("海建伟强军文平勇志辉江雄斌波华明才龙"), 1},
	{2100, []rune("欣雨诗婷雅思佳怡梓晴涵萱语彤妍琪若瑶"), []rune("浩宇杰俊泽轩子豪嘉铭博睿晨皓文乐恒一"), 1},
}

func surname(d *dice) string { return pickWeighted(d, surnames) }

// givenName is a given name of somebody born at the time.
func givenName(d *dice, female bool, born time.Time) string {
	g := generations[0]
	for i := 0; born.Year() >= g.bornBefore; i++ {
		g = generations[i]
	}
	pool := g.men
	if female {
		pool = g.women
	}
	first := pick(d, pool)
	if d.IntN(5) < g.singleInFive {
		return string(first)
	}
	second := pick(d, pool)
	for second == first {
		second = pick(d, pool)
	}
	return string([]rune{first, second})
}
