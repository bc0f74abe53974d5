package api

import (
	"strings"

	"grapnel/internal/awsapi"
)

// arns builds and reads the ARNs of service.md 1. Where a name is missing they have a wildcard, as policies do.
type arns struct{ region, account string }

// prefix is what every ARN of this server's CodeDeploy begins with.
func (a arns) prefix() string { return "arn:aws:codedeploy:" + a.region + ":" + a.account + ":" }

func (a arns) application(name *string) string { return a.prefix() + "application:" + orAny(name) }

func (a arns) group(application, name *string) string {
	return a.prefix() + "deploymentgroup:" + orAny(application) + "/" + orAny(name)
}

func (a arns) config(name *string) string { return a.prefix() + "deploymentconfig:" + orAny(name) }

// instance is the ARN of an on-premises instance, as policies name it.
func (a arns) instance(name *string) string { return a.prefix() + "instance/" + orAny(name) }

func orAny(name *string) string {
	if awsapi.Value(name) == "" {
		return "*"
	}
	return *name
}

// resource splits an ARN into the kind of resource and its name; false when it is none of ours.
func (a arns) resource(arn string) (kind, name string, ok bool) {
	rest, ours := strings.CutPrefix(arn, a.prefix())
	kind, name, named := strings.Cut(rest, ":")
	return kind, name, ours && named && name != ""
}
