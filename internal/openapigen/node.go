package main

import (
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// get is the value of a mapping's key, or nil.
func get(n *yaml.Node, key string) *yaml.Node {
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

// set gives a mapping's key a value, at the end where the key is new.
func set(n *yaml.Node, key string, value *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content[i+1] = value
			return
		}
	}
	n.Content = append(n.Content, text(key), value)
}

// remove takes a key out of a mapping.
func remove(n *yaml.Node, key string) {
	for i := 0; n != nil && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content = append(n.Content[:i], n.Content[i+2:]...)
			return
		}
	}
}

// each calls f for every key of a mapping, on a copy of the list, so that f may change the mapping.
func each(n *yaml.Node, f func(key string, value *yaml.Node)) {
	if n == nil {
		return
	}
	content := append([]*yaml.Node(nil), n.Content...)
	for i := 0; i+1 < len(content); i += 2 {
		f(content[i].Value, content[i+1])
	}
}

// valueOf is the text of a scalar, empty for nil.
func valueOf(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	return n.Value
}

func text(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
}

func number[N int | int32 | int64 | uint64](n N) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.FormatInt(int64(n), 10)}
}

func boolean(b bool) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(b)}
}

func list(items ...*yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: items}
}

// object is a mapping of keys (strings) and values (nodes or strings) in turn.
func object(pairs ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for i := 0; i+1 < len(pairs); i += 2 {
		n.Content = append(n.Content, text(pairs[i].(string)), asNode(pairs[i+1]))
	}
	return n
}

func asNode(v any) *yaml.Node {
	if s, ok := v.(string); ok {
		return text(s)
	}
	return v.(*yaml.Node)
}

func ref(path string) *yaml.Node { return object("$ref", "#/components/"+path) }

// parse reads YAML or JSON.
func parse(data []byte) (*yaml.Node, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	plain(&doc)
	return doc.Content[0], nil
}

// plain takes the styles of JSON off, so that the output is block YAML; long prose becomes literal text.
func plain(n *yaml.Node) {
	n.Style = 0
	for _, child := range n.Content {
		plain(child)
	}
}

// order puts the keys of a mapping into the order of first, those not named there after them, as they were.
func order(n *yaml.Node, first ...string) {
	if n == nil {
		return
	}
	var front, back []*yaml.Node
	for _, key := range first {
		if value := get(n, key); value != nil {
			front = append(front, text(key), value)
		}
	}
	each(n, func(key string, value *yaml.Node) {
		if slices.Contains(first, key) {
			return
		}
		back = append(back, text(key), value)
	})
	n.Content = slices.Concat(front, back)
}
