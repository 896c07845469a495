package runtime

// An Image is one that an engine has, for one platform, under one of its names.
type Image struct {
	Name  string `cbor:"1,keyasint"` // as job.ImageName gives it
	OS    string `cbor:"2,keyasint"`
	Arch  string `cbor:"3,keyasint"` // "amd64"
	Bytes int64  `cbor:"4,keyasint"` // unpacked
}

// MaxImages bounds the names of images that are told of; an engine that has more tells
// of the newest. What it does not tell of counts as not there, and is found there
// nevertheless once a container is to be made.
const MaxImages = 512
