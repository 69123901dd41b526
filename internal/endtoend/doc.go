// Package endtoend holds the tests that run the product as its users do: the binary, its doors, its folder.
//
// They break it on purpose: processes are killed while images arrive, disks fill up, files are mutated, identities are planted and looked for in every
// byte that is left behind. What they promise is that docs and commands hold under that; what a package does by itself is tested beside the package.
//
// Each test has a short form, which `make test` runs, and where it matters a long one, which `make soak` runs (VITRINE_SOAK). Nothing here is imported
// by anything.
package endtoend
