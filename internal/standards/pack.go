package standards

import (
	"bytes"
	_ "embed"
	"fmt"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed packs/china-2021.yaml
var china2021 []byte

// defaultPack reads the embedded pack once. It is a part of the program, so a pack that does not read is a defect.
var defaultPack = sync.OnceValue(func() *Pack {
	pack, err := Parse(china2021)
	if err != nil {
		panic("standards: the default pack: " + err.Error())
	}
	return pack
})

// Parse reads a pack from YAML. Unknown keys, codes that occur twice in a list, and codes without both labels are errors.
func Parse(text []byte) (*Pack, error) {
	var file struct {
		Name    string    `yaml:"name"`
		Version string    `yaml:"version"`
		Lists   yaml.Node `yaml:"lists"` // a mapping whose order counts
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("read the pack: %w", err)
	}
	if file.Name == "" || file.Version == "" || file.Lists.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("a pack needs a name, a version and a mapping of lists")
	}
	pack := &Pack{Name: file.Name, Version: file.Version}
	for i := 0; i < len(file.Lists.Content); i += 2 {
		list, err := parseList(file.Lists.Content[i].Value, file.Lists.Content[i+1])
		if err != nil {
			return nil, err
		}
		pack.Lists = append(pack.Lists, list)
	}
	return pack, nil
}

func parseList(name string, node *yaml.Node) (List, error) {
	text, err := yaml.Marshal(node)
	if err != nil {
		return List{}, fmt.Errorf("list %q: %w", name, err)
	}
	list := List{Name: name}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true) // Node.Decode would let unknown keys pass
	if err := decoder.Decode(&list.Codes); err != nil {
		return List{}, fmt.Errorf("list %q: %w", name, err)
	}
	seen := map[string]bool{}
	for _, c := range list.Codes {
		if c.Code == "" || c.Zh == "" || c.En == "" || seen[c.Code] {
			return List{}, fmt.Errorf("list %q: code %q is given twice or lacks a label", name, c.Code)
		}
		seen[c.Code] = true
	}
	return list, nil
}
