// Synthetic cells of a file, judged against cells that the model has not seen:
//   nextflow run main.nf --data cells.h5ad --labels_key cell_type

params.folder = "results"
params.seed = 0
params.held_out_share = 0.3

process SPLIT {
    publishDir params.folder, mode: "copy"

    input:
    path cells

    output:
    path "train.h5ad", emit: train
    path "held_out.h5ad", emit: held_out

    script:
    """
    activa split ${cells} --train train.h5ad --held-out held_out.h5ad --labels-key '${params.labels_key}' --held-out-share ${params.held_out_share} --seed ${params.seed}
    """
}

process FIT {
    publishDir params.folder, mode: "copy"

    input:
    path train

    output:
    path "model"

    script:
    """
    activa fit ${train} -o model --labels-key '${params.labels_key}' --seed ${params.seed}
    """
}

process GENERATE {
    publishDir params.folder, mode: "copy"

    input:
    path model
    path held_out

    output:
    path "synthetic.h5ad"

    script:
    """
    activa generate ${model} --labels-like ${held_out} -o synthetic.h5ad --seed ${params.seed}
    """
}

process EVALUATE {
    publishDir params.folder, mode: "copy"

    input:
    path held_out
    path synthetic
    path train

    output:
    path "report.html"
    path "metrics.tsv"

    script:
    """
    activa evaluate ${held_out} ${synthetic} --labels-key '${params.labels_key}' --train ${train} --report report.html --seed ${params.seed} > metrics.tsv
    """
}

workflow {
    SPLIT(file(params.data, checkIfExists: true))
    FIT(SPLIT.out.train)
    GENERATE(FIT.out, SPLIT.out.held_out)
    EVALUATE(SPLIT.out.held_out, GENERATE.out, SPLIT.out.train)
}
