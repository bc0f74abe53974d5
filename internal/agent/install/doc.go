// Package install is the Install event (agent.md 8): it copies a revision's files to where its AppSpec wants them and sets
// their permissions, after it has removed what the group's previous Install made.
//
//	New    read the cleanup file; place the files and permissions of the   nothing changes, and everything that
//	       AppSpec; check names, programs, ACL support and free space      stands in the way is told at once
//	         │
//	Run    replay the old cleanup file, last made first                    record.go
//	         │
//	       write the instructions, for people to read                     instructions.go
//	         │
//	       make folders and files ─► other permissions ─► SELinux          execute.go, copy_linux.go, access.go, selinux.go
//
// The cleanup file names a file before it is copied and a folder as soon as it is made, so that a crash at any point leaves
// something that the next Install puts right.
package install
