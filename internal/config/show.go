package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// YAML is the configuration as a file would hold it, secrets redacted.
func (c Config) YAML() string {
	out, err := yaml.Marshal(nodeOf(reflect.ValueOf(c)))
	if err != nil {
		return fmt.Sprint(err) // not reached: a tree of texts and lists
	}
	return string(out)
}

// String implements fmt.Stringer: secrets are redacted.
func (c Config) String() string { return c.YAML() }

// nodeOf builds the YAML in the order of the struct.
func nodeOf(v reflect.Value) *yaml.Node {
	switch value := v.Interface().(type) {
	case Secret:
		return scalar(value.String())
	case time.Duration:
		return scalar(shortDuration(value))
	}
	node := &yaml.Node{Kind: yaml.MappingNode}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			node.Content = append(node.Content, scalar(v.Type().Field(i).Tag.Get("koanf")), nodeOf(v.Field(i)))
		}
	case reflect.Map:
		for _, key := range sortedKeys(v) {
			node.Content = append(node.Content, scalar(key.String()), nodeOf(v.MapIndex(key)))
		}
	case reflect.Slice:
		node.Kind = yaml.SequenceNode
		for i := range v.Len() {
			node.Content = append(node.Content, nodeOf(v.Index(i)))
		}
	default:
		node = &yaml.Node{}
		if err := node.Encode(v.Interface()); err != nil {
			return scalar(err.Error())
		}
	}
	return node
}

func scalar(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }

func sortedKeys(m reflect.Value) []reflect.Value {
	keys := m.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	return keys
}
