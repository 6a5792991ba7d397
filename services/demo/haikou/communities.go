package haikou

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/csv"
	"fmt"
	"strings"
)

// communitiesCSV is the table of Haikou's communities and villages; README.md names its source.
//
//go:embed communities.csv.gz
var communitiesCSV []byte

type communityRow struct{ code, name string }

// communitiesByStreet reads the table: the communities of each township or street, in order of their codes.
func communitiesByStreet() (map[string][]communityRow, error) {
	packed, err := gzip.NewReader(bytes.NewReader(communitiesCSV))
	if err != nil {
		return nil, fmt.Errorf("unpack the table of communities: %w", err)
	}
	rows, err := csv.NewReader(packed).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read the table of communities: %w", err)
	}
	byStreet := map[string][]communityRow{}
	for _, row := range rows[1:] {
		byStreet[row[2]] = append(byStreet[row[2]], communityRow{row[0], placeName(row[1])})
	}
	return byStreet, nil
}

// placeName is the name of the place that a residents' or villagers' committee serves: 博桂社区居民委员会 is the committee
// of 博桂社区.
func placeName(committee string) string {
	for _, suffix := range []string{"居民委员会", "居委会"} {
		if place, ok := strings.CutSuffix(committee, suffix); ok {
			if strings.HasSuffix(place, "社区") || place == "" {
				return place
			}
			return place + "社区"
		}
	}
	for _, suffix := range []string{"委员会", "委会", "委员"} {
		if place, ok := strings.CutSuffix(committee, suffix); ok {
			return place
		}
	}
	return committee
}
