// Package awsapi holds the shapes of the two protocols that Grapnel speaks: the CodeDeploy API, generated from
// botocore's model (codedeploy.go), and the host-command service, written by hand (commands.go).
//
// Names are those of the wire with a capital letter in front, so that what a user sees can be searched for in the code.
// A member that is absent differs from one that is zero or empty: scalars and structures are pointers, a nil list is
// absent and an empty one is sent as [], the zero Epoch and the empty enumeration value are absent.
package awsapi

import "reflect"

//go:generate go run ./gen

// Operation describes one operation of a service.
type Operation struct {
	Name   string
	Input  reflect.Type
	Output reflect.Type // nil when the operation answers nothing
	Errors []string     // names of the errors that the model declares for it
}

// Target returns the value of X-Amz-Target for an operation of the CodeDeploy API.
func Target(operation string) string { return Prefix + "." + operation }

// Value returns what p points to, and the zero value when the member is absent.
func Value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
