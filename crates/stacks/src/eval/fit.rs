//! Fits the logistic model: Newton's method with a ridge, on the candidates that a search really ranks.

use super::{Candidates, Labelled, admits, known};
use crate::index::{Index, IndexError};
use crate::model::{FEATURES, Model};

/// How many incidents of each query the model learns from.
const LEARNED: usize = 8;
/// How often candidates are gathered anew under the model learned so far.
const ROUNDS: usize = 3;
const NEWTON_STEPS: usize = 25;
const RIDGE: f64 = 1.0;
/// The sign that each coefficient may have: more alike may never be less probable, whatever a sample says.
const SIGNS: [i8; FEATURES] = [0, 1, 1, 1, 1, 1, 1, 1, 1, -1, 1];

type Row = [f64; FEATURES];

pub(super) fn fit(train: &[Labelled], cross: Candidates) -> Result<Model, IndexError> {
    let mut model = Model::default();
    let items = known(train);
    for _ in 0..ROUNDS {
        let index = Index::build(&items)?.with_model(model.clone());
        let mut rows: Vec<(Row, bool)> = Vec::new();
        for (at, item) in train.iter().enumerate() {
            let found = index
                .search(&item.trace, item.time, LEARNED, |trace| admits(train, at, trace as usize, cross));
            for found in found.iter().filter(|found| found.place.is_none()) {
                rows.push((found.features, train[found.trace as usize].group == item.group));
            }
        }
        if let Some(coefficients) = newton(&rows) {
            model.coefficients = coefficients;
        }
    }
    Ok(model)
}

/// The coefficients of greatest penalised likelihood; none where the rows hold one class only.
fn newton(rows: &[(Row, bool)]) -> Option<Row> {
    if rows.iter().all(|row| row.1) || !rows.iter().any(|row| row.1) {
        return None;
    }
    let mut coefficients = [0.0; FEATURES];
    for _ in 0..NEWTON_STEPS {
        let mut gradient = [0.0; FEATURES];
        let mut hessian = [[0.0; FEATURES]; FEATURES];
        for (features, same) in rows {
            let score: f64 = coefficients.iter().zip(features).map(|(c, f)| c * f).sum();
            let probability = 1.0 / (1.0 + (-score).exp());
            let error = f64::from(u8::from(*same)) - probability;
            let weight = (probability * (1.0 - probability)).max(1e-6);
            for i in 0..FEATURES {
                gradient[i] += error * features[i];
                for j in 0..FEATURES {
                    hessian[i][j] += weight * features[i] * features[j];
                }
            }
        }
        for i in 0..FEATURES {
            let ridge = if i == 0 { 1e-3 } else { RIDGE };
            gradient[i] -= ridge * coefficients[i];
            hessian[i][i] += ridge;
        }
        // A coefficient that rests on its bound and is pushed against it stays there.
        for i in 0..FEATURES {
            if coefficients[i] == 0.0 && gradient[i] * f64::from(SIGNS[i]) < 0.0 {
                gradient[i] = 0.0;
                hessian[i] = [0.0; FEATURES];
                hessian.iter_mut().for_each(|row| row[i] = 0.0);
                hessian[i][i] = 1.0;
            }
        }
        let step = solve(hessian, gradient);
        for ((coefficient, step), sign) in coefficients.iter_mut().zip(step).zip(SIGNS) {
            *coefficient += step.clamp(-5.0, 5.0);
            if *coefficient * f64::from(sign) < 0.0 {
                *coefficient = 0.0;
            }
        }
    }
    coefficients.iter().all(|coefficient| coefficient.is_finite()).then_some(coefficients)
}

/// Gaussian elimination with pivoting; the ridge keeps the matrix regular.
fn solve(mut matrix: [[f64; FEATURES]; FEATURES], mut right: Row) -> Row {
    for column in 0..FEATURES {
        let pivot = (column..FEATURES)
            .max_by(|&a, &b| matrix[a][column].abs().total_cmp(&matrix[b][column].abs()))
            .unwrap_or(column);
        matrix.swap(column, pivot);
        right.swap(column, pivot);
        let lead = matrix[column];
        if lead[column].abs() < 1e-12 {
            continue;
        }
        for row in column + 1..FEATURES {
            let factor = matrix[row][column] / lead[column];
            for (cell, lead) in matrix[row].iter_mut().zip(lead).skip(column) {
                *cell -= factor * lead;
            }
            right[row] -= factor * right[column];
        }
    }
    let mut out = [0.0; FEATURES];
    for row in (0..FEATURES).rev() {
        let rest: f64 = (row + 1..FEATURES).map(|at| matrix[row][at] * out[at]).sum();
        out[row] = if matrix[row][row].abs() < 1e-12 { 0.0 } else { (right[row] - rest) / matrix[row][row] };
    }
    out
}
