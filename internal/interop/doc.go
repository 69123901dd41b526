// Package interop holds the tests that put a node beside other people's software: Orthanc, DCMTK, dcmjs-dimse, dicom3tools, and every transfer syntax that real files have.
//
// What is not installed is skipped by its name. What a door or the library promises by itself is tested beside it; here it is asked whether others understand it. Nothing here is imported by anything.
package interop
