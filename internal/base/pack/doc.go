// Package pack keeps objects as encrypted records in a few large files, and gives them back. It is the one place where image bytes lie.
//
//	s, err := pack.OpenStore(ctx, dir, pack.Options{Committed: catalogue.Index})
//	ref, err := s.Append(ctx, &pack.Record{KeyID: id, Key: key, Meta: meta, Head: head, Bulk: [][]byte{pixels}})
//	// ref is on stable storage now
//	o, err := s.Open(ctx, ref, key)
//	head, err := o.Head()                     // never touches the pixels
//	n, err := o.Bulk().ReadAt(tile, offset)   // nor the rest of them
//
// What it promises:
//
//   - When Append or Commit returns a place, the record is on stable storage and Committed was told of it; a crash or a failing disk loses none of
//     these. A group of which a write or sync fails is acknowledged to nobody, and its pack takes no more.
//   - What is read is what was written, or the error is of kind Corrupt: bytes altered, exchanged, cut off or moved are never handed out.
//   - With a mirror, every sealed pack is there too in the end; what the folder or the bucket lacks or damages is read from it, and counted.
//   - On disk and in the bucket a record is undecipherable without its subject's key. Digests are keyed. An aborted stream is undecipherable to
//     everybody.
//   - Memory: a record of up to 16 MiB is encrypted whole, InFlight bounds how many at once; anything larger passes through a little over a megabyte.
//   - Several processes may use one folder and one bucket, each writing packs of its own.
//
// What it does not do: it does not know what a record means, whether it was withdrawn, or whether two are the same; it removes no record and compacts
// no pack. It does not index: who wants to find a record keeps its place. It does not hide sizes, counts, or that records share a key.
//
// The format is in docs/formats/pack.md, the reasons in DESIGN.md beside this file.
package pack
