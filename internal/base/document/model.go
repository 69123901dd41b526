package document

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
	"strings"
)

const stlHead, stlFacet = 80, 50

// binarySTL is the number of triangles of a model whose length is what that makes it; 0: it is none.
func binarySTL(doc []byte) uint32 {
	if len(doc) < stlHead+4 {
		return 0
	}
	n := binary.LittleEndian.Uint32(doc[stlHead:])
	want := int64(stlHead+4) + int64(n)*stlFacet
	// Trailing zeros were cut off, which may have been a triangle's.
	if int64(len(doc)) > want || int64(len(doc)) < want-stlFacet {
		return 0
	}
	return n
}

// readSTL counts what a surface consists of. Its header and its name are all the text that it has.
func (c *Contents) readSTL(doc []byte) {
	doc = bytes.TrimRight(doc, "\x00")
	var box bounds
	if n := binarySTL(doc); n > 0 {
		c.fact("Header", strings.Trim(asText(doc[:stlHead]), " \x00"))
		c.fact("Triangles", strconv.FormatUint(uint64(n), 10))
		attributes := 0
		for at := stlHead + 4; at+stlFacet <= len(doc); at += stlFacet {
			for corner := 1; corner <= 3; corner++ {
				var p [3]float64
				for k := range p {
					p[k] = float64(math.Float32frombits(binary.LittleEndian.Uint32(doc[at+12*corner+4*k:])))
				}
				box.add(p)
			}
			if doc[at+48] != 0 || doc[at+49] != 0 {
				attributes++
			}
		}
		if attributes > 0 {
			c.fact("Triangles with attributes (colours, in some programs)", strconv.Itoa(attributes))
		}
		c.fact("Size", box.String())
		return
	}
	var facets int
	var names []string
	lines := bufio.NewScanner(bytes.NewReader(doc))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) == 0 {
			continue
		}
		switch strings.ToLower(f[0]) {
		case "facet":
			facets++
		case "vertex":
			box.fields(f[1:])
		case "solid", "endsolid":
			if len(f) > 1 {
				names = append(names, strings.Join(f[1:], " "))
			}
		case "outer", "endloop", "endfacet":
		default:
			names = append(names, lines.Text())
		}
		if len(names) > maxFacts {
			break
		}
	}
	if lines.Err() != nil {
		c.remark(remarkTruncated)
	}
	c.fact("Triangles", strconv.Itoa(facets))
	c.fact("Size", box.String())
	c.passage(Passage{Title: "Names and other text", Text: strings.Join(names, "\n")})
}

// readOBJ counts what Wavefront's formats hold, and collects what is text in them: names, comments, and whatever is no statement.
func (c *Contents) readOBJ(doc []byte) {
	count := map[string]int{}
	var box bounds
	var text []string
	size := 0
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimRight(doc, "\x00")))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		switch f[0] {
		case "v":
			box.fields(f[1:])
			count["Vertices"]++
			continue
		case "f":
			count["Faces"]++
			continue
		case "vn", "vt", "vp", "l", "p", "s", "Ka", "Kd", "Ks", "Ke", "Ns", "Ni", "d", "Tr", "Tf", "illum":
			continue
		case "newmtl":
			count["Materials"]++
		}
		if strings.HasPrefix(f[0], "map_") || f[0] == "bump" || f[0] == "disp" || f[0] == "decal" {
			c.remark(remarkTextures)
		}
		if size += len(line); size > maxPassage {
			c.remark(remarkMore)
			break
		}
		text = append(text, line)
	}
	if lines.Err() != nil {
		c.remark(remarkTruncated)
	}
	for _, name := range [...]string{"Vertices", "Faces", "Materials"} {
		if n := count[name]; n > 0 {
			c.fact(name, strconv.Itoa(n))
		}
	}
	c.fact("Size", box.String())
	c.passage(Passage{Title: "Names, comments and other text", Text: strings.Join(text, "\n")})
}

// bounds are how far points reach.
type bounds struct {
	low, high [3]float64
	any       bool
}

func (b *bounds) add(p [3]float64) {
	for k, v := range p {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return
		}
		if !b.any || v < b.low[k] {
			b.low[k] = v
		}
		if !b.any || v > b.high[k] {
			b.high[k] = v
		}
	}
	b.any = true
}

func (b *bounds) fields(f []string) {
	var p [3]float64
	if len(f) < 3 {
		return
	}
	for k := range p {
		v, err := strconv.ParseFloat(f[k], 64)
		if err != nil {
			return
		}
		p[k] = v
	}
	b.add(p)
}

func (b *bounds) String() string {
	if !b.any {
		return ""
	}
	var s []string
	for k := range b.low {
		s = append(s, strconv.FormatFloat(b.high[k]-b.low[k], 'g', 4, 64))
	}
	return strings.Join(s, " × ") + " units"
}
