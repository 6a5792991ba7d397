package openapi

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Select is the description of the operations that are wanted by their ids, which are the names of the RPCs, with the
// tags and components that they need and no other.
func Select(wanted func(operationID string) bool) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(YAML, &doc); err != nil {
		return nil, fmt.Errorf("the OpenAPI description: %w", err)
	}
	root := doc.Content[0]
	paths := valueOf(root, "paths")
	tagged := map[string]bool{}
	filter(paths, func(_ string, operations *yaml.Node) bool {
		filter(operations, func(_ string, operation *yaml.Node) bool {
			if !wanted(valueOf(operation, "operationId").Value) {
				return false
			}
			for _, tag := range valueOf(operation, "tags").Content {
				tagged[tag.Value] = true
			}
			return true
		})
		return len(operations.Content) > 0
	})
	selectTags(root, tagged)
	selectComponents(valueOf(root, "components"), paths)
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(&doc); err != nil {
		return nil, fmt.Errorf("the OpenAPI description: %w", err)
	}
	return out.Bytes(), encoder.Close()
}

// selectTags drops the tags without an operation, and the groups without a tag.
func selectTags(root *yaml.Node, tagged map[string]bool) {
	tags, groups := valueOf(root, "tags"), valueOf(root, "x-tagGroups")
	tags.Content = slices.DeleteFunc(tags.Content, func(tag *yaml.Node) bool { return !tagged[valueOf(tag, "name").Value] })
	groups.Content = slices.DeleteFunc(groups.Content, func(group *yaml.Node) bool {
		members := valueOf(group, "tags")
		members.Content = slices.DeleteFunc(members.Content, func(tag *yaml.Node) bool { return !tagged[tag.Value] })
		return len(members.Content) == 0
	})
}

// selectComponents drops the components that no path refers to, not even through another component. The security schemes
// stay: they are referred to by name.
func selectComponents(components, paths *yaml.Node) {
	reached := map[string]bool{}
	var reach func(*yaml.Node)
	reach = func(n *yaml.Node) {
		if ref := valueOf(n, "$ref"); ref != nil && !reached[ref.Value] {
			reached[ref.Value] = true
			kind, name, _ := strings.Cut(strings.TrimPrefix(ref.Value, componentsRef), "/")
			reach(valueOf(valueOf(components, kind), name))
		}
		if n != nil {
			for _, child := range n.Content {
				reach(child)
			}
		}
	}
	reach(paths)
	filter(components, func(kind string, all *yaml.Node) bool {
		if kind == "securitySchemes" {
			return true
		}
		filter(all, func(name string, _ *yaml.Node) bool { return reached[componentsRef+kind+"/"+name] })
		return len(all.Content) > 0
	})
}

const componentsRef = "#/components/"

// valueOf is the value of a mapping's key, nil where there is none.
func valueOf(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// filter drops what is not to be kept of a mapping.
func filter(n *yaml.Node, keep func(key string, value *yaml.Node) bool) {
	kept := n.Content[:0]
	for i := 0; i+1 < len(n.Content); i += 2 {
		if keep(n.Content[i].Value, n.Content[i+1]) {
			kept = append(kept, n.Content[i], n.Content[i+1])
		}
	}
	n.Content = kept
}
