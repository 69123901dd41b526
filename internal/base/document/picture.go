package document

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/jpeg"
	"image/png"
	"strconv"

	"golang.org/x/image/draw"
)

// maxPixels bounds a picture that is decoded.
const maxPixels = 64 << 20

func configOf(doc []byte) (image.Config, bool) {
	var c image.Config
	var err error
	if KindOf(doc) == JPEG {
		c, err = jpeg.DecodeConfig(bytes.NewReader(doc))
	} else {
		c, err = png.DecodeConfig(bytes.NewReader(doc))
	}
	return c, err == nil && c.Width > 0 && c.Height > 0
}

// readPicture reads what stands beside the pixels of a picture.
func (c *Contents) readPicture(doc []byte) error {
	size, ok := configOf(doc)
	if !ok {
		return &Broken{whyDamaged}
	}
	c.Pages = 1
	c.fact("Size", strconv.Itoa(size.Width)+" × "+strconv.Itoa(size.Height)+" pixels")
	if c.Kind == JPEG {
		c.jpegText(doc)
	} else {
		c.pngText(doc)
	}
	return nil
}

// jpegText reads comments, and says that there is application data (ISO/IEC 10918-1 B.2.4).
func (c *Contents) jpegText(doc []byte) {
	for at := 2; at+4 <= len(doc) && doc[at] == 0xff; {
		marker, n := doc[at+1], int(binary.BigEndian.Uint16(doc[at+2:]))
		if marker == 0xda || n < 2 || at+2+n > len(doc) {
			return
		}
		switch body := doc[at+4 : at+2+n]; {
		case marker == 0xfe:
			c.remark(remarkComments)
			c.passage(Passage{Title: "Comment", Text: asText(body)})
		case marker > 0xe0 && marker <= 0xef && marker != 0xee:
			c.remark(remarkComments)
			if isText(body) {
				c.passage(Passage{Title: "Application data", Text: asText(body)})
			}
		}
		at += 2 + n
	}
}

// pngText reads the chunks of text that are not compressed (PNG 11.3.3).
func (c *Contents) pngText(doc []byte) {
	for at := 8; at+12 <= len(doc); {
		n := int(binary.BigEndian.Uint32(doc[at:]))
		if n < 0 || n > len(doc)-at-12 {
			c.remark(remarkTruncated)
			return
		}
		switch kind, body := string(doc[at+4:at+8]), doc[at+8:at+8+n]; kind {
		case "tEXt", "iTXt":
			c.remark(remarkComments)
			c.passage(Passage{Title: "Comment", Text: asText(bytes.ReplaceAll(body, []byte{0}, []byte(" ")))})
		case "zTXt", "eXIf":
			c.remark(remarkComments)
		}
		at += 12 + n
	}
}

// drawPicture decodes a picture, and encodes what is seen of it: nothing else of the file is passed on.
func drawPicture(doc []byte, page, within int) ([]byte, error) {
	if page != 1 {
		return nil, &Broken{whyNoPage}
	}
	size, ok := configOf(doc)
	if !ok {
		return nil, &Broken{whyDamaged}
	}
	if int64(size.Width)*int64(size.Height) > maxPixels {
		return nil, &Broken{whyLarge}
	}
	img, _, err := image.Decode(bytes.NewReader(doc))
	if err != nil {
		return nil, &Broken{whyDamaged}
	}
	if b := img.Bounds(); max(b.Dx(), b.Dy()) > within {
		scale := float64(within) / float64(max(b.Dx(), b.Dy()))
		to := image.NewRGBA(image.Rect(0, 0, max(1, int(float64(b.Dx())*scale)), max(1, int(float64(b.Dy())*scale))))
		draw.ApproxBiLinear.Scale(to, to.Bounds(), img, b, draw.Src, nil)
		img = to
	}
	return encode(img)
}

func encode(img image.Image) ([]byte, error) {
	var out bytes.Buffer
	err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&out, img)
	return out.Bytes(), err
}
