package awsapi

import "strings"

// InstanceARN is the ARN of an on-premises instance, as policies name it.
func InstanceARN(region, account, name string) string {
	return "arn:aws:codedeploy:" + region + ":" + account + ":instance/" + name
}

// TargetARN is the ARN of a host that is a target: only instances of EC2 have a name that begins with i-.
func TargetARN(region, account, id string) string {
	if strings.HasPrefix(id, "i-") {
		return "arn:aws:ec2:" + region + ":" + account + ":instance/" + id
	}
	return InstanceARN(region, account, id)
}
