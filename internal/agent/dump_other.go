//go:build !linux

package agent

// preventCoreDump does nothing: only Linux has a switch for it that hooks do not inherit.
func preventCoreDump() error { return nil }
