package api

import "strings"

// arns builds and reads the ARNs of service.md 1.
type arns struct{ region, account string }

// prefix is what every ARN of this server's CodeDeploy begins with.
func (a arns) prefix() string { return "arn:aws:codedeploy:" + a.region + ":" + a.account + ":" }

// instance is the ARN of an on-premises instance, as policies name it.
func (a arns) instance(name string) string { return a.prefix() + "instance/" + name }

// target is the ARN of a host that is a target: only instances of EC2 have a name that begins with i-.
func (a arns) target(id string) string {
	if strings.HasPrefix(id, "i-") {
		return "arn:aws:ec2:" + a.region + ":" + a.account + ":instance/" + id
	}
	return a.instance(id)
}

// instanceID returns the id in the ARN of an instance, of EC2 or on-premises; an id that is none stays as it is.
func instanceID(value string) string {
	if !strings.HasPrefix(value, "arn:") {
		return value
	}
	_, id, _ := strings.Cut(value, ":instance/")
	return id
}

// resource splits an ARN into the kind of resource and its name; false when it is none of ours. Instances have a slash
// between the two, all others a colon.
func (a arns) resource(arn string) (kind, name string, ok bool) {
	rest, ours := strings.CutPrefix(arn, a.prefix())
	if name, ok := strings.CutPrefix(rest, "instance/"); ours && ok {
		return "instance", name, name != ""
	}
	kind, name, named := strings.Cut(rest, ":")
	return kind, name, ours && named && name != ""
}
