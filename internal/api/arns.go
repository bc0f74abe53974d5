package api

import "strings"

// arns builds and reads the ARNs of service.md 1.
type arns struct{ region, account string }

// prefix is what every ARN of this server's CodeDeploy begins with.
func (a arns) prefix() string { return "arn:aws:codedeploy:" + a.region + ":" + a.account + ":" }

// instance is the ARN of an on-premises instance, as policies name it.
func (a arns) instance(name string) string { return a.prefix() + "instance/" + name }

// resource splits an ARN into the kind of resource and its name; false when it is none of ours.
func (a arns) resource(arn string) (kind, name string, ok bool) {
	rest, ours := strings.CutPrefix(arn, a.prefix())
	kind, name, named := strings.Cut(rest, ":")
	return kind, name, ours && named && name != ""
}
