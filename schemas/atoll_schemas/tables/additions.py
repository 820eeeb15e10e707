"""Define the tables that Atoll adds to OMOP: variants, and trials after CDISC's SDTM and ADaM.

The variant table takes its names from HGVS, VCF and the Sequence Ontology; the trial tables from SDTM
(TS, TA, TE, DM, EX) and ADaM (ADTTE, ADSL), spelled in OMOP's manner.
"""

from atoll_schemas.tables.model import Content, Datatype, Field, Table


def _key(name: str, description: str) -> Field:
    return Field(
        name=name,
        datatype=Datatype.BIGINT,
        content=Content.KEY,
        required=True,
        primary_key=True,
        description=description,
    )


def _reference(name: str, table: str, field: str, description: str, *, required: bool = False) -> Field:
    return Field(
        name=name,
        datatype=Datatype.BIGINT,
        content=Content.KEY,
        required=required,
        foreign_table=table,
        foreign_field=field,
        description=description,
    )


def _person() -> Field:
    return Field(
        name="person_id",
        datatype=Datatype.BIGINT,
        content=Content.PERSON_KEY,
        required=True,
        foreign_table="person",
        foreign_field="person_id",
        description="The person.",
    )


def _concept(name: str, description: str) -> Field:
    return Field(
        name=name,
        datatype=Datatype.BIGINT,
        content=Content.CONCEPT,
        foreign_table="concept",
        foreign_field="concept_id",
        description=description,
    )


def _code(name: str, length: int, description: str, *, required: bool = False) -> Field:
    return Field(
        name=name,
        datatype=Datatype.VARCHAR,
        content=Content.CODE,
        length=length,
        required=required,
        description=description,
    )


def _number(name: str, description: str, datatype: Datatype = Datatype.DOUBLE) -> Field:
    return Field(name=name, datatype=datatype, content=Content.NUMBER, description=description)


def _date(name: str, description: str, *, required: bool = False) -> Field:
    return Field(
        name=name,
        datatype=Datatype.DATE,
        content=Content.DATE,
        required=required,
        description=description,
    )


def _identifier(name: str, length: int, description: str) -> Field:
    return Field(
        name=name,
        datatype=Datatype.VARCHAR,
        content=Content.DIRECT_IDENTIFIER,
        length=length,
        description=description,
    )


VARIANT_OCCURRENCE = Table(
    name="variant_occurrence",
    group="genomics",
    scope="person",
    description="One row per genetic variant found in one sample of a person.",
    fields=(
        _key("variant_occurrence_id", "The row's key."),
        _person(),
        _reference("specimen_id", "specimen", "specimen_id", "The sample that was sequenced."),
        _reference("procedure_occurrence_id", "procedure_occurrence", "procedure_occurrence_id", "The test."),
        _date("variant_date", "The day of the report, else of the sample.", required=True),
        _concept("variant_concept_id", "The variant in OMOP Genomic, 0 when it has no concept."),
        _code("variant_source_value", 255, "The variant as the laboratory coded it."),
        _concept("variant_source_concept_id", "The concept of the laboratory's code."),
        _concept("gene_concept_id", "The gene's concept."),
        _code("gene_symbol", 50, "The gene's HGNC symbol, such as BRAF."),
        _code("reference_sequence", 50, "The transcript or contig with version, such as NM_004333.6."),
        _code("hgvs_c", 1000, "HGVS on the coding sequence, such as c.1799T>A."),
        _code("hgvs_p", 1000, "HGVS on the protein, such as p.Val600Glu."),
        _code("hgvs_g", 1000, "HGVS on the genome."),
        _code("consequence", 255, "The Sequence Ontology term, such as missense_variant."),
        _code("variant_type", 20, "SNV, MNV, INS, DEL, INDEL, CNV, SV, FUSION or STR."),
        _code("zygosity", 20, "heterozygous, homozygous, hemizygous, homoplasmic or heteroplasmic."),
        _number("allele_fraction", "The share of reads with the variant, 0 to 1."),
        _number("read_depth", "Reads at the position.", Datatype.INTEGER),
        _code("origin", 20, "somatic, germline or unknown."),
        _number("copy_number", "Copies of the segment; the diploid value is 2."),
        _code("assembly", 20, "GRCh37 or GRCh38."),
        _code("chromosome", 50, "1 to 22, X, Y or MT."),
        _number("position", "1-based position of the first reference base, as VCF counts.", Datatype.INTEGER),
        _number("end_position", "1-based position of the last reference base.", Datatype.INTEGER),
        _code("reference_allele", 4000, "VCF's REF."),
        _code("alternate_allele", 4000, "VCF's ALT, one allele per row."),
        _code("filter", 255, "VCF's FILTER."),
        _code("clinical_significance", 50, "ClinVar's term, such as pathogenic."),
        _concept("clinical_significance_concept_id", "Its concept."),
    ),
)

TRIAL = Table(
    name="trial",
    group="trial",
    scope="shared",
    description="One row per clinical trial (SDTM TS).",
    fields=(
        _key("trial_id", "The row's key."),
        _code("trial_code", 50, "STUDYID: what queries name as the trial.", required=True),
        _code("registry_id", 50, "The number in a public registry, such as NCT…."),
        _code("trial_name", 255, "The trial's published short title."),
        _code("trial_phase", 50, "TPHASE."),
        _code("trial_type", 50, "STYPE: interventional or observational."),
        _code("blinding", 50, "TBLIND."),
        _concept("indication_concept_id", "The disease under study."),
    ),
)

TRIAL_ARM = Table(
    name="trial_arm",
    group="trial",
    scope="shared",
    description="One row per planned arm of a trial (SDTM TA).",
    fields=(
        _key("trial_arm_id", "The row's key."),
        _reference("trial_id", "trial", "trial_id", "The trial.", required=True),
        _code("trial_code", 50, "STUDYID.", required=True),
        _code("arm_code", 50, "ARMCD.", required=True),
        _code("arm_name", 255, "ARM."),
        _code("arm_type", 50, "experimental, active_comparator, placebo_comparator or no_intervention."),
    ),
)

TRIAL_SUBJECT = Table(
    name="trial_subject",
    group="trial",
    scope="person",
    description="One row per person and trial (SDTM DM, ADaM ADSL).",
    fields=(
        _key("trial_subject_id", "The row's key."),
        _person(),
        _reference("trial_id", "trial", "trial_id", "The trial."),
        _code("trial_code", 50, "STUDYID: what queries name as the trial.", required=True),
        _identifier("subject_source_value", 100, "USUBJID as the sponsor wrote it."),
        _code("arm_code", 50, "ARMCD: the arm to which the person was assigned."),
        _code("arm_name", 255, "ARM."),
        _code("actual_arm_code", 50, "ACTARMCD: the arm that the person received."),
        _date("randomization_date", "RANDDT."),
        _date("start_date", "RFSTDTC: the first day in the trial.", required=True),
        _date("end_date", "RFENDTC: the last day in the trial."),
        _code("subject_status", 50, "screened, screen_failure, on_treatment, completed or discontinued."),
    ),
)

TRIAL_EPOCH = Table(
    name="trial_epoch",
    group="trial",
    scope="person",
    description="One row per person and period of a trial (SDTM SE).",
    fields=(
        _key("trial_epoch_id", "The row's key."),
        _person(),
        _reference("trial_subject_id", "trial_subject", "trial_subject_id", "The participation."),
        _code("trial_code", 50, "STUDYID.", required=True),
        _code("epoch_code", 50, "EPOCH, such as SCREENING or TREATMENT.", required=True),
        _number("epoch_number", "The order of the epoch, from 1.", Datatype.INTEGER),
        _date("epoch_start_date", "SESTDTC.", required=True),
        _date("epoch_end_date", "SEENDTC."),
    ),
)

TRIAL_EXPOSURE = Table(
    name="trial_exposure",
    group="trial",
    scope="person",
    description="One row per interval of study treatment (SDTM EX).",
    fields=(
        _key("trial_exposure_id", "The row's key."),
        _person(),
        _reference("trial_subject_id", "trial_subject", "trial_subject_id", "The participation."),
        _code("trial_code", 50, "STUDYID.", required=True),
        _concept("drug_concept_id", "The drug."),
        _code("treatment_source_value", 100, "EXTRT."),
        _number("dose_value", "EXDOSE."),
        _code("dose_unit_source_value", 50, "EXDOSU."),
        _code("epoch_code", 50, "EPOCH."),
        _date("exposure_start_date", "EXSTDTC.", required=True),
        _date("exposure_end_date", "EXENDTC."),
    ),
)

TRIAL_ENDPOINT = Table(
    name="trial_endpoint",
    group="trial",
    scope="person",
    description="One row per person and endpoint (ADaM ADTTE and the analysis values of BDS).",
    fields=(
        _key("trial_endpoint_id", "The row's key."),
        _person(),
        _reference("trial_subject_id", "trial_subject", "trial_subject_id", "The participation."),
        _code("trial_code", 50, "STUDYID.", required=True),
        _code("endpoint_code", 50, "PARAMCD, such as OS or PFS.", required=True),
        _code("endpoint_name", 255, "PARAM."),
        _number("value_as_number", "AVAL."),
        _code("value_source_value", 100, "AVALC."),
        _code("unit_source_value", 50, "The unit of AVAL."),
        _number("censored", "CNSR: 0 is an event, 1 and more are censored.", Datatype.INTEGER),
        _date("endpoint_start_date", "STARTDT: where the time to event starts."),
        _date("endpoint_date", "ADT: the event or the censoring.", required=True),
    ),
)

ADDITIONS: tuple[Table, ...] = (
    VARIANT_OCCURRENCE,
    TRIAL,
    TRIAL_ARM,
    TRIAL_SUBJECT,
    TRIAL_EPOCH,
    TRIAL_EXPOSURE,
    TRIAL_ENDPOINT,
)
"""In the order in which ``core@1`` lists them."""
