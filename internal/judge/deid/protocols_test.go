package deid

import (
	"strings"
	"testing"
)

// Names of protocols, series and procedures as scanners and departments write them. They stay whole.
func TestProtocolNames(t *testing.T) {
	const names = `
Abdomen/Pelvis W Contrast
ABD PEL WO/W CONTRAST
CT ABDOMEN AND PELVIS WITH IV CONTRAST
CT Chest High Resolution Without Contrast
CT ANGIO CHEST PE PROTOCOL
CTA Head & Neck
CT BRAIN W/O
Thorax+Abdomen 5.0 B31f
AbdomenRoutine 5.0 I30f 3
Lung 1.0 B70f
CAP_3.0_Br40_S3
TAP portal venous 70s
Arterial Phase 1.5mm
Delayed 10 min
Liver 3 phase
Coronary CTA retrospective gated 0.6 Bv36 75%
Ca Score 3.0 Qr36
Topogram 0.6 T20f
Scout AP
SCOUT LAT
Dual Energy Mono+ 50 keV
VNC liver
AXIAL BONE
SAG REFORMAT
COR MPR THIN
Lung MIP 8 x 2
t1_mprage_sag_p2_iso
t2_tse_tra_512
t2_space_dark-fluid_sag
ep2d_diff_b50_400_800_ADC
ep2d_diff_3scan_trace_p2_TRACEW
ep2d_bold_moco_p2_s2
AX T2 FLAIR
AX DWI B1000
Ax T1 FSPGR POST GAD
Sag T1 SE
COR STIR
3D TOF MRA COW
AX SWAN
ADC (10^-6 mm2/s)
localizer_tra
3-plane loc
AAHead_Scout
fl3d_vibe_fs_tra_bh_post
t1_vibe_dixon_tra_bh_W
t1_fl3d_tra_dynaVIEWS_spair
Ax LAVA-Flex +C
WATER: Ax LAVA
dADC_b1000
MRCP 3D RESP TRIG
DCE 4D perfusion
VIBRANT MULTIPHASE
PROSTATE T2 AXIAL SMALL FOV
pd_tse_fs_sag
CINE SSFP SHORT AXIS
LGE 2 CH
PSIR delayed enhancement 4 chamber
ASL PULSED CBF
qsm_gre_8echo
DTI 64 dir b 1000
PET WB CTAC
CT AC WB 4.0
WB FDG AC
WB NAC
PET Statistics
Body-Low Dose CT
PET/CT skull base to mid thigh
18F-FDG PET CT oncology
68Ga-PSMA-11
Ga-68 DOTATATE
BONE SCAN WHOLE BODY ANT
Tc-99m MDP 3 phase
SPECT/CT LUMBAR SPINE
MPI STRESS GATED
L CC
R MLO
LMLO
RCC
L XCCL SPOT
MAMMO SCREENING BILATERAL TOMO
C-View
BREAST US LEFT
US GUIDED CORE BIOPSY RIGHT BREAST
CHEST PA AND LATERAL
CXR portable AP
ABDOMEN SUPINE
KUB
KNEE 3 VIEWS RIGHT
HAND PA/OBL/LAT
ANKLE MORTISE
PELVIS AP + FROG LATERAL
C-SPINE 5 VIEW
L-SPINE AP/LAT
SHOULDER Y VIEW
BARIUM SWALLOW
RT PLAN PROSTATE VMAT 2 ARCS
CTSIM HEAD AND NECK MASK
4D CT average
4DCT 50% MIP
CBCT daily
GTV_T
CTV_60
PTV_6000
PTV 54 Gy
SpinalCord_PRV
Parotid_L
Lung_R
Heart
BODY
Couch Surface
Optic Chiasm
Brachial plexus left
HE stain 20x
Ki-67 IHC
PD-L1 22C3
FFPE block A1
Whole slide image 40x
H&E
Segmentation of liver tumour
Nodule 1
Lesion 2 largest diameter
RECIST target lesion
Follow-up 6 months post treatment
Baseline
Week 12
Screening visit
Pre-op planning
Post-operative
Interval change
No acute intracranial abnormality
Mild cardiomegaly without pulmonary oedema
Multiple bilateral pulmonary nodules, largest 12 mm in the right lower lobe
There is no evidence of metastatic disease
Stable appearances compared with the previous examination
Spiculated mass in the upper outer quadrant, BI-RADS 5
Enhancing lesion in segment 7 with washout, LI-RADS 5
PI-RADS 4 lesion in the left peripheral zone at mid gland
Carcinoma of the prostate, Gleason 4+3
Non-small cell lung cancer, adenocarcinoma
Invasive ductal carcinoma, grade 3, ER positive, HER2 negative
Diffuse large B-cell lymphoma
Known hepatocellular carcinoma for restaging
Shortness of breath and cough
Abdominal pain and weight loss
Suspected pulmonary embolism
Trauma, fall from height
Allergic to iodinated contrast
Asthma, diabetes type 2
Not pregnant
Claustrophobic`
	all, kept, gone := 0, 0, 0
	for s := range strings.Lines(strings.TrimSpace(names)) {
		s = strings.TrimSpace(s)
		got, lost := (&words{}).clean(s)
		all += len(strings.Fields(s))
		kept += len(strings.Fields(got))
		if lost {
			if gone++; gone <= 200 {
				t.Errorf("%q becomes %q", s, got)
			}
		}
	}
	t.Logf("%d of %d words stay", kept, all)
}
